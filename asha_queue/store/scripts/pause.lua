-- pause(experiment; request, members, drain)
--     → 'ok' | 'unchanged' | 'finished' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash: state, draining; writes orders and the journal
-- ARGV[1]  random id of this order
-- ARGV[2]  members of the `paused` entry, JSON text without braces
-- ARGV[3]  '1': keepers of what runs hear 'drain' (renew.lua), '': it goes on to its end
--
-- A pause that drains may follow one that does not. Queued segments stay QUEUED.

local answer, state = obeyed(ARGV[1])
if answer then return answer end
if ENDED[state] then return state end
local draining = redis.call('HGET', experiment, 'draining')
if state == 'paused' and (ARGV[3] == '' or draining == '1') then return 'unchanged' end

append('paused', ARGV[2], true)
redis.call('HSET', experiment, 'state', 'paused', 'draining', ARGV[3])
return obey(ARGV[1], 'ok')
