-- delete(experiment, names) → 'ok'
--
-- KEYS[1]  the experiment's hash; all keys below it are removed: journal, snapshot, live, queued,
--          running, refusals, orders, and trial and checkpoints of every trial started
-- KEYS[2]  hash of name → uid; the name is freed
--
-- Later calls for this uid find no hash and answer 'unknown', so nothing comes back.

local name, trials = unpack(redis.call('HMGET', experiment, 'name', 'trials'))
if not name then return 'ok' end

redis.call('HDEL', KEYS[2], name)
for trial = 0, trials - 1 do
  redis.call('UNLINK', experiment .. ':trial:' .. trial, experiment .. ':checkpoints:' .. trial)
end
redis.call('UNLINK', experiment, experiment .. ':journal', experiment .. ':snapshot',
  experiment .. ':live', queued, running, experiment .. ':refusals', experiment .. ':orders')
return 'ok'
