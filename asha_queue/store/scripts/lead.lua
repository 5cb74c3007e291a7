-- lead(experiment; who, wants, client, gone, claims)
--     → 'unknown' | {term, leader, silent, claims, at}
--
-- KEYS[1]  the experiment's hash: leader, leader_client, term, leader_until, wants, claims
-- ARGV[1]  random id of the coordinator
-- ARGV[2]  slots that it could use now
-- ARGV[3]  id of its connection
-- ARGV[4]  a leader whose connection was seen to have ended, '' = none
-- ARGV[5]  what it claims of each queue, JSON text; '' = as it was
--
-- The lease is LEADER_LEASE of server time. `silent` is the connection of another leader that has
-- not renewed for LEADER_SILENT, else '': the caller sees whether it still stands (no script can),
-- and comes again if not. The term grows whenever the leader is another than the one before: it
-- fences what is not in the store. Decisions are safe without it (schedule.lua). The answer has the
-- claims as they were, for a leader that goes on where another has left off, and the time.

local who, gone = ARGV[1], ARGV[4]
local term, leader, client, till, claims = unpack(redis.call('HMGET', experiment,
  'term', 'leader', 'leader_client', 'leader_until', 'claims'))
if not term then return 'unknown' end
if leader ~= who then
  local left = (tonumber(till) or 0) - now
  local silent = left < LEADER_LEASE - LEADER_SILENT
  if left > 0 and not (silent and leader == gone) then
    return {term, leader, silent and client or '', claims or '', at}
  end
  term = digits(term + 1)
end
redis.call('HSET', experiment, 'term', term, 'leader', who, 'leader_client', ARGV[3],
  'wants', ARGV[2], 'leader_until', digits(now + LEADER_LEASE))
if ARGV[5] ~= '' then redis.call('HSET', experiment, 'claims', ARGV[5], 'claims_of', who) end
return {term, who, '', claims or '', at}
