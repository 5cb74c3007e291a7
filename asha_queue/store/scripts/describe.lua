-- describe(experiment) → v, name, specification, state, last, submitted_at, leader, term, stale,
--     num_samples, max_t
--
-- KEYS[1]  the experiment's hash
--
-- Answers 'unknown' without it. The leader is '' once its lease ran out, num_samples and max_t are
-- nil until they were extended.

if absent() then return 'unknown' end
local facts = redis.call('HMGET', experiment, 'v', 'name', 'specification', 'state', 'last',
  'submitted_at', 'leader', 'term', 'stale', 'num_samples', 'max_t')
local till = redis.call('HGET', experiment, 'leader_until')
if not till or tonumber(till) <= now then facts[7] = '' end
return facts
