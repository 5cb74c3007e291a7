-- submit(experiment, names; uid, name, specification, retries, weight, queue, members)
--     → the uid that holds `name`
--
-- KEYS[1]  the experiment's hash, written once
-- KEYS[2]  hash of name → uid
-- ARGV[1]  uid
-- ARGV[2]  name
-- ARGV[3]  specification, JSON text
-- ARGV[4]  failures that are retried
-- ARGV[5]  weight beside other experiments, as text
-- ARGV[6]  queue whose workers serve it
-- ARGV[7]  members of the `submitted` entry, JSON text without braces
--
-- A name that is taken keeps its uid and nothing is written: repeating the call is harmless.

local uid, name = ARGV[1], ARGV[2]
local holder = redis.call('HGET', KEYS[2], name)
if holder then return holder end
if not absent() then return illegal('uid ' .. uid .. ' belongs to another name than ' .. name) end

redis.call('HSET', KEYS[2], name, uid)
redis.call('HSET', experiment, 'v', FORMAT, 'name', name, 'specification', ARGV[3],
  'retries', ARGV[4], 'weight', ARGV[5], 'queue', ARGV[6], 'state', 'open',
  'submitted_at', at, 'trials', 0, 'clock', 0, 'tick', digits(now), 'term', 0, 'stale', 0)
append('submitted', ARGV[7], true)
return uid
