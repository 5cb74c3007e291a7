-- removed(experiment; path …) → 'ok' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes removals
-- ARGV[1…] checkpoints whose files are gone

if absent() then return 'unknown' end
if #ARGV > 0 then redis.call('ZREM', experiment .. ':removals', unpack(ARGV)) end
return 'ok'
