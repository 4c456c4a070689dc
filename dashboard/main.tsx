/** Puts the page together; the only wiring. */
import { render } from "preact";
import { App } from "./app.tsx";
import { Gateway } from "./gateway.ts";
import { makeStore } from "./store.ts";

const store = makeStore();
const gateway = new Gateway(store);
gateway.start();
render(<App store={store} gateway={gateway} />, document.getElementById("page")!);
