-- cancel(experiment; request, members) → 'ok' | 'unchanged' | 'finished' | 'unknown'
--
-- KEYS[1]  the experiment's hash: state; writes records, `queued`, `running`, orders, the journal
-- ARGV[1]  random id of this order
-- ARGV[2]  members of the `cancelled` entry, JSON text without braces
--
-- Every open segment ends here, without an entry of its own: its token is stale from now on, and
-- its keeper hears 'cancel' (renew.lua).

local answer, state = obeyed(ARGV[1])
if answer then return answer end
if state == 'finished' then return state end
if state == 'cancelled' then return 'unchanged' end

append('cancelled', ARGV[2], true)
redis.call('HSET', experiment, 'state', 'cancelled')
for _, trial in ipairs(redis.call('ZRANGE', queued, 0, -1)) do
  redis.call('HSET', experiment .. ':trial:' .. trial, 'state', 'CANCELLED')
end
redis.call('ZREMRANGEBYRANK', queued, 0, -1)
for _, trial in ipairs(redis.call('ZRANGE', running, 0, -1)) do
  close(record(trial), 'CANCELLED', 'cancelled')
end
return obey(ARGV[1], 'ok')
