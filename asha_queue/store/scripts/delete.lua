-- delete(experiment, names, deleted; uid) → 'ok'
--
-- KEYS[1]  the experiment's hash; all keys below it are removed: journal, snapshot, live, queued,
--          running, refusals, orders, removals, and trial and checkpoints of every trial started
-- KEYS[2]  hash of name → uid; the name is freed
-- KEYS[3]  zset of the uids deleted last: an experiment that is neither here nor there was lost
-- ARGV[1]  uid
--
-- Later calls for this uid find no hash and answer 'unknown', so nothing comes back.

local name, trials = unpack(redis.call('HMGET', experiment, 'name', 'trials'))
if not name then return 'ok' end

redis.call('HDEL', KEYS[2], name)
redis.call('ZADD', KEYS[3], digits(now), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - DELETED_KEPT)
for trial = 0, trials - 1 do
  redis.call('UNLINK', experiment .. ':trial:' .. trial, experiment .. ':checkpoints:' .. trial)
end
redis.call('UNLINK', experiment, experiment .. ':journal', experiment .. ':snapshot',
  experiment .. ':live', queued, running, experiment .. ':refusals', experiment .. ':orders',
  experiment .. ':removals')
return 'ok'
