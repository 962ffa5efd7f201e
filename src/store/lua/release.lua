-- release: agents give tasks back untouched, to the place in the subject that they had.
--
-- ARGV[5…]  2 for each task: id, attempt
--
-- Returns  for each task `OK assigned`, `REPEATED assigned`, `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>`
--          or `LEASE <newest attempt>`
local answers = {}
fetch(ids_of(5, 2))
for i = 5, #ARGV, 2 do
  local task = known[ARGV[i]]
  local answer = barred_report(task, 'release', ARGV[i + 1])
  if not answer then
    move(task, 'release', 'assigned', task.rank)
    answer = 'OK assigned'
  end
  answers[#answers + 1] = answer
end
finish()
return answers
