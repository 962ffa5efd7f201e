-- doctor_children: checks whether these members of a task's children are its children, and removes
-- those that are not.
-- Needs  findings
--
-- ARGV[5]   1 to repair what is found, 0 to search only
-- ARGV[6]   the parent's id
-- ARGV[7…]  the members
--
-- Returns  a list for each finding, as `doctor_tasks` does
local parent = ARGV[6]
local siblings = P .. 'children:' .. parent
local members = ids_of(7, 1)
local found = read_all(members)
for _, id in ipairs(members) do
  local facts = found[id]
  -- It may have been pruned since the walk found it. An unreadable record may be that of a child.
  if facts ~= false and redis.call('ZSCORE', siblings, id) then
    if not facts then
      note_finding(id, 'record_missing', { 'the children of ' .. parent }, take_out(siblings, id))
    elseif cut_content(facts.task.record, facts.task.content).parent ~= parent then
      note_finding(id, 'child_foreign', { parent }, take_out(siblings, id))
    end
  end
end
finish()
return findings
