-- restore_begin(experiment, names; request, uid, name, trials) → '' | the uid that holds `name`
--
-- KEYS[1]  the experiment's hash, absent until restore_end: so every other script finds nothing
-- KEYS[2]  hash of name → uid
-- ARGV[1]  random id of this restore: it replaces any that was begun and not ended
-- ARGV[2]  uid
-- ARGV[3]  name
-- ARGV[4]  how many trials there will be
--
-- What an earlier one, killed on its way, has written is removed. Nothing is written when the name
-- is taken.

local holder = redis.call('HGET', KEYS[2], ARGV[3])
if holder then return holder end
if not absent() then return illegal('uid ' .. ARGV[2] .. ' has another name than ' .. ARGV[3]) end

local restoring = experiment .. ':restoring'
for trial = 0, (redis.call('HGET', restoring, 'trials') or 0) - 1 do
  redis.call('UNLINK', experiment .. ':trial:' .. trial, experiment .. ':checkpoints:' .. trial)
end
redis.call('UNLINK', experiment .. ':journal')
redis.call('HSET', restoring, 'request', ARGV[1], 'trials', ARGV[4])
return ''
