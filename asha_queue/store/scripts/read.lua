-- read(experiment, stream; seen, count) → 'unknown' | 'gone' | entries
--
-- KEYS[1]  the experiment's hash
-- KEYS[2]  its journal, or its live stream
-- ARGV[1]  id after which to read, '0-0' = from the start
-- ARGV[2]  at most so many entries
--
-- 'gone': the entry `seen` is not there (any more): what was read before is not this stream.

if absent() then return 'unknown' end
local seen = ARGV[1]
if seen ~= '0-0' and #redis.call('XRANGE', KEYS[2], seen, seen) == 0 then return 'gone' end
return redis.call('XRANGE', KEYS[2], '(' .. seen, '+', 'COUNT', ARGV[2])
