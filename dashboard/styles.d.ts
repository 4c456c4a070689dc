/** Style sheets that the builder takes along with the part of the page that they are for. */
declare module "*.css";
