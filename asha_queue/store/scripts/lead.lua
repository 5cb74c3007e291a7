-- lead(experiment; who, wants, client, gone) → 'unknown' | {term, leader, silent}
--
-- KEYS[1]  the experiment's hash: leader, leader_client, term, leader_until, wants
-- ARGV[1]  random id of the coordinator
-- ARGV[2]  slots that it could use now
-- ARGV[3]  id of its connection
-- ARGV[4]  a leader whose connection was seen to have ended, '' = none
--
-- The lease is LEADER_LEASE of server time. `silent` is the connection of another leader that has
-- not renewed for LEADER_SILENT, else '': the caller sees whether it still stands (no script can),
-- and comes again if not. The term grows whenever the leader is another than the one before: it
-- fences what is not in the store. Decisions are safe without it (schedule.lua).

local who, gone = ARGV[1], ARGV[4]
local term, leader, client, till = unpack(redis.call('HMGET', experiment,
  'term', 'leader', 'leader_client', 'leader_until'))
if not term then return 'unknown' end
if leader ~= who then
  local left = (tonumber(till) or 0) - now
  local silent = left < LEADER_LEASE - LEADER_SILENT
  if left > 0 and not (silent and leader == gone) then
    return {term, leader, silent and client or ''}
  end
  term = digits(term + 1)
end
redis.call('HSET', experiment, 'term', term, 'leader', who, 'leader_client', ARGV[3],
  'wants', ARGV[2], 'leader_until', digits(now + LEADER_LEASE))
return {term, who, ''}
