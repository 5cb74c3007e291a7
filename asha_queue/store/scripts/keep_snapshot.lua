-- keep_snapshot(experiment; seen, last, state) → 'ok' | 'gone' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes its snapshot
-- ARGV[1]  id of the last entry folded
-- ARGV[2]  id of the last decision-relevant one
-- ARGV[3]  the state, JSON text

if absent() then return 'unknown' end
local seen = ARGV[1]
if #redis.call('XRANGE', experiment .. ':journal', seen, seen) == 0 then return 'gone' end
redis.call('HSET', experiment .. ':snapshot', 'v', FORMAT, 'seen', seen, 'last', ARGV[2],
  'state', ARGV[3])
return 'ok'
