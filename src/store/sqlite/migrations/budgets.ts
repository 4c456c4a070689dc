/** Usage by day, budgets with what is reserved in them, and results of children that must fit a schema. */
export const BUDGETS = `
ALTER TABLE session ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN person TEXT NOT NULL DEFAULT 'operator';
-- 0 = no budget, 1 = one above it, 2 = one of its own.
ALTER TABLE task ADD COLUMN budgeted INTEGER NOT NULL DEFAULT 0 CHECK (budgeted IN (0,1,2));
ALTER TABLE task ADD COLUMN output_schema TEXT;
ALTER TABLE task ADD COLUMN output_json TEXT;
ALTER TABLE task ADD COLUMN corrections INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turn ADD COLUMN person TEXT NOT NULL DEFAULT 'operator';
ALTER TABLE turn ADD COLUMN tree TEXT NOT NULL DEFAULT '';

-- What was used, whatever becomes of the sessions. Days are those of UTC.
CREATE TABLE usage (
  day TEXT NOT NULL,
  session TEXT NOT NULL,
  model TEXT NOT NULL,
  person TEXT NOT NULL,
  tree TEXT NOT NULL,
  input INTEGER NOT NULL,
  output INTEGER NOT NULL,
  cache_read INTEGER NOT NULL,
  cache_write INTEGER NOT NULL,
  reasoning INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  cost_micros INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  PRIMARY KEY (day, session, model, person, tree)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_session ON usage (session);
CREATE INDEX usage_tree ON usage (tree) WHERE tree <> '';

CREATE TABLE budget (
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL CHECK (scope IN ('task','session','tree','person','day')),
  name TEXT NOT NULL,
  unit TEXT NOT NULL CHECK (unit IN ('tokens','costMicros','calls','children')),
  -- The account that its limit was set aside in.
  parent_id INTEGER REFERENCES budget (id),
  max INTEGER NOT NULL CHECK (max >= 0),
  used INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
  reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  -- 1 = what was left went back to the parent.
  closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0,1)),
  CHECK (closed = 0 OR parent_id IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX budget_name ON budget (scope, name, unit);
CREATE INDEX budget_parent ON budget (parent_id) WHERE parent_id IS NOT NULL AND closed = 0;

-- One row per account that a model call on its way is reserved in.
CREATE TABLE budget_hold (
  call TEXT NOT NULL,
  budget_id INTEGER NOT NULL REFERENCES budget (id),
  amount INTEGER NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (call, budget_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_hold_budget ON budget_hold (budget_id);
`;
