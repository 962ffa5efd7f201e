-- outcome: ends attempts as their agents report: completes, fails or releases them.
--
-- A failed attempt is followed by another one after a back-off, or was the last. A released task
-- returns to the place in the subject that it had.
--
-- ARGV[5]   waits by number of failures, ms, joined by commas; '' if no attempt failed
-- ARGV[6]   rank of the caller's role
-- ARGV[7…]  6 for each task: verb, id, attempt or '', holder, digest of the report (see
--           barred_report), result: JSON, or ''; and 3 more for `fail`: error: a JSON string, 1 if
--           another attempt makes sense else 0, wait before it in ms or ''
--
-- Returns  for each task `OK <state>`, `REPEATED <state>` (of the same report), `MISMATCH` (another
--          report ended the attempt), `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>`, `LEASE <newest
--          attempt>` or `HOLDER <caller that took it, or ->`
local answers, results = {}, {}

-- Returns the place of the row after the one at `i`.
local function after(i)
  return i + (ARGV[i] == 'fail' and 9 or 6)
end

local function end_attempt(task, verb, i)
  if verb == 'complete' then
    move(task, verb, 'completed', NOW)
  elseif verb == 'release' then
    move(task, verb, 'assigned', task.rank)
  else
    fail(task, verb, ARGV[i + 6], ARGV[i + 7] == '1', tonumber(ARGV[i + 8]), ARGV[5])
    note_end(task, ARGV[6])
  end
end

local ids, place = {}, 7
while place <= #ARGV do
  ids[#ids + 1] = ARGV[place + 1]
  place = after(place)
end
fetch(ids)
place = 7
while place <= #ARGV do
  local verb, task = ARGV[place], known[ARGV[place + 1]]
  local answer = barred_report(task, verb, ARGV[place + 2], ARGV[place + 3], ARGV[place + 4])
  if not answer then
    task.report = ARGV[place + 4]
    end_attempt(task, verb, place)
    if ARGV[place + 5] ~= '' then
      results[#results + 1], results[#results + 2] = task.id, ARGV[place + 5]
    end
    answer = 'OK ' .. task.state
  end
  answers[#answers + 1] = answer
  place = after(place)
end
if #results > 0 then
  write('HSET', P .. 'results', results)
end
finish()
return answers
