-- lead(experiment; who, wants) → 'unknown' | {term, leader}
--
-- KEYS[1]  the experiment's hash: leader, term, leader_until, wants
-- ARGV[1]  random id of the coordinator
-- ARGV[2]  slots that it could use now
--
-- The lease is LEADER_LEASE of server time. The term grows whenever the leader is another than the
-- one before: it fences what is not in the store. Decisions are safe without it (schedule.lua).

local who = ARGV[1]
local term, leader, till = unpack(redis.call('HMGET', experiment, 'term', 'leader', 'leader_until'))
if not term then return 'unknown' end
if leader ~= who then
  if till and tonumber(till) > now then return {term, leader} end
  term = digits(term + 1)
end
redis.call('HSET', experiment, 'term', term, 'leader', who, 'wants', ARGV[2],
  'leader_until', digits(now + LEADER_LEASE))
return {term, who}
