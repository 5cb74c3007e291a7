-- describe(experiment) → v, name, specification, state, last, submitted_at, leader, term, stale,
--     num_samples, max_t, time_budget, resource_budget, stop_at
--
-- KEYS[1]  the experiment's hash
--
-- Answers 'unknown' without it. The leader is '' once its lease ran out, the last five are nil
-- until they were extended, then JSON.

if absent() then return 'unknown' end
local facts = redis.call('HMGET', experiment, 'v', 'name', 'specification', 'state', 'last',
  'submitted_at', 'leader', 'term', 'stale',
  'num_samples', 'max_t', 'time_budget', 'resource_budget', 'stop_at')
local till = redis.call('HGET', experiment, 'leader_until')
if not till or tonumber(till) <= now then facts[7] = '' end
return facts
