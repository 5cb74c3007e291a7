-- describe(experiment) → v, name, specification, state, last, submitted_at, leader, term, stale
--
-- KEYS[1]  the experiment's hash
--
-- Answers 'unknown' without it. The leader is '' once its lease ran out.

if absent() then return 'unknown' end
local facts = redis.call('HMGET', experiment, 'v', 'name', 'specification', 'state', 'last',
  'submitted_at', 'leader', 'term', 'stale')
local till = redis.call('HGET', experiment, 'leader_until')
if not till or tonumber(till) <= now then facts[7] = '' end
return facts
