-- release_worker(experiment; worker, reason) → 'unknown' | trial …
--
-- KEYS[1]  the experiment's hash; writes what `lose` writes, and `queued`
-- ARGV[1]  name of a worker that is known to be dead
-- ARGV[2]  reason
--
-- A message that the worker had taken, and not yet claimed, died with it: whatever is published and
-- unclaimed is due again at once. Messages that were only waiting are doubled by that; a claim that
-- comes second is refused.

if absent() then return 'unknown' end
local trials = {}
for _, trial in ipairs(redis.call('ZRANGE', running, 0, -1)) do
  local r = record(trial)
  if r.worker == ARGV[1] then
    lose(r, ARGV[2], 'death')
    table.insert(trials, trial)
  end
end
for _, trial in ipairs(redis.call('ZRANGEBYSCORE', queued, '(' .. digits(now), '+inf')) do
  redis.call('ZADD', queued, digits(now), trial)
end
return trials
