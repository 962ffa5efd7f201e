-- complete: agents finished the attempts that they hold.
--
-- ARGV[5…]  3 for each task: id, attempt or '' (the caller must be the holder), result: JSON, or ''
--
-- Returns  for each task `OK completed`, `REPEATED completed`, `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>`,
--          `LEASE <newest attempt>` or `HOLDER <who>`
local answers, results = {}, {}
fetch(ids_of(5, 3))
for i = 5, #ARGV, 3 do
  local task = known[ARGV[i]]
  local answer = barred_report(task, 'complete', ARGV[i + 1])
  if not answer then
    move(task, 'complete', 'completed', NOW)
    if ARGV[i + 2] ~= '' then
      results[#results + 1], results[#results + 2] = task.id, ARGV[i + 2]
    end
    answer = 'OK completed'
  end
  answers[#answers + 1] = answer
end
if #results > 0 then
  write('HSET', P .. 'results', results)
end
finish()
return answers
