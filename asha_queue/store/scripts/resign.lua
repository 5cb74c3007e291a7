-- resign(experiment; who) → 'ok' | 'unknown'
--
-- KEYS[1]  the experiment's hash: leader, leader_until
-- ARGV[1]  random id of the coordinator; nothing happens if another one leads

if absent() then return 'unknown' end
if redis.call('HGET', experiment, 'leader') == ARGV[1] then
  redis.call('HSET', experiment, 'leader', '', 'leader_until', 0)
end
return 'ok'
