-- examiner: takes or keeps the turn of examining the store without end, and notes what came of it.
--
-- ARGV[5]  who asks
-- ARGV[6]  how long he may be silent before another one begins anew, ms
-- ARGV[7]  how long after the beginning of a round the next one may begin, ms
-- ARGV[8]  how many findings he logged since he asked last
-- ARGV[9]  how many findings the round has that ended just now, or ''
--
-- Returns  in how many ms to ask again (0: examine on), and 1 if a round begins else 0
local key = P .. 'examiner'
local f = redis.call('HMGET', key, 'holder', 'until', 'due')
local holder, busy_until, due = f[1], tonumber(f[2] or 0), tonumber(f[3] or 0)
add(key, { 'found' }, { ARGV[8] })
if holder == ARGV[5] then
  if ARGV[9] == '' then
    write('HSET', key, { 'until', TEXT[NOW + ARGV[6]] })
    finish()
    return { 0, 0 }
  end
  write('HSET', key, { 'findings', ARGV[9], 'finished', TEXT[NOW] })
  add(key, { 'rounds' }, { 1 })
  write('HDEL', key, { 'holder', 'until' })
  finish()
  return { math.max(due - NOW, 1), 0 }
end
-- A clock that went back must not put the next round off for ever.
local wait = math.min(math.max(holder and busy_until - NOW or 0, due - NOW), tonumber(ARGV[7]))
if wait > 0 then
  finish()
  return { wait, 0 }
end
write('HSET', key, { 'holder', ARGV[5], 'until', TEXT[NOW + ARGV[6]], 'due', TEXT[NOW + ARGV[7]] })
finish()
return { 0, 1 }
