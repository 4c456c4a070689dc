/** Worktrees lent to work, and the line of merges. What no query asks for stands in `data`. */
export const WORKSPACES = `
CREATE TABLE workspace (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL CHECK (state IN ('making','ready','removing','removed','failed')),
  common_dir TEXT NOT NULL,
  session TEXT,
  epoch INTEGER NOT NULL CHECK (epoch >= 1),
  port_first INTEGER NOT NULL,
  data TEXT NOT NULL
) STRICT;
-- No two live workspaces share a port.
CREATE UNIQUE INDEX workspace_ports ON workspace (port_first) WHERE state IN ('making','ready','removing');
CREATE INDEX workspace_live ON workspace (common_dir) WHERE state IN ('making','ready','removing');
CREATE INDEX workspace_session ON workspace (session) WHERE session IS NOT NULL;

CREATE TABLE merge (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL CHECK (state IN ('queued','running','resolving','advancing','landed','undoing','conflict','failed','refused','undone','cancelled')),
  workspace_id TEXT NOT NULL REFERENCES workspace (id),
  common_dir TEXT NOT NULL,
  onto TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  from_id TEXT,
  to_id TEXT,
  data TEXT NOT NULL,
  CHECK (state NOT IN ('advancing','landed','undoing','undone') OR (from_id IS NOT NULL AND to_id IS NOT NULL))
) STRICT;
-- Nothing is in line twice, and nothing lands twice.
CREATE UNIQUE INDEX merge_once ON merge (workspace_id) WHERE state IN ('queued','running','resolving','advancing','undoing');
CREATE UNIQUE INDEX merge_landed_once ON merge (workspace_id, commit_id, onto) WHERE state IN ('advancing','landed','undoing');
CREATE INDEX merge_open ON merge (common_dir, onto, n) WHERE state IN ('queued','running','resolving','advancing','undoing');
CREATE INDEX merge_workspace ON merge (workspace_id, n);
`;
