-- restore_end(experiment, names, deleted; request, uid, name, word …) → 'replaced' | '' | the uid
--     that holds `name`
--
-- KEYS[1]  the experiment's hash, written once; from now on all scripts find the experiment
-- KEYS[2]  hash of name → uid
-- KEYS[3]  zset of the uids deleted last: this one is not among them any more
-- ARGV[1]  id of the restore that was begun
-- ARGV[2]  uid
-- ARGV[3]  name
-- ARGV[4…] fields and values of the hash
--
-- What is queued is due at once, what runs has a whole lease.

local holder = redis.call('HGET', KEYS[2], ARGV[3])
if holder then return holder end
if not restoring(ARGV[1]) then return 'replaced' end

local trials = redis.call('HGET', experiment .. ':restoring', 'trials')
for trial = 0, trials - 1 do
  local key = experiment .. ':trial:' .. trial
  local state, avoid = unpack(redis.call('HMGET', key, 'state', 'avoid'))
  if state == 'QUEUED' then redis.call('ZADD', queued, digits(now), trial) end
  if state == 'RUNNING' then redis.call('ZADD', running, LEASE, trial) end
  if avoid ~= '' then redis.call('HSET', key, 'avoid_until', digits(now + AVOID)) end
end
redis.call('HSET', experiment, 'trials', trials, 'clock', 0, 'tick', digits(now), 'term', 0,
  'stale', 0, unpack(ARGV, 4))
redis.call('HSET', KEYS[2], ARGV[3], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('UNLINK', experiment .. ':restoring')
return ''
