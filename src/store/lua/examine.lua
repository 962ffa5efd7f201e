-- examine: what is wrong with these tasks, seen in one moment.
--
-- ARGV[5…]  ids
--
-- Returns  a flat list: id, what is wrong, …
local wrong = {}
local agents = redis.call('SMEMBERS', P .. 'agents')

local function sets_of(id)
  local sets = {}
  local function look(set)
    local score = redis.call('ZSCORE', set, id)
    if score then
      sets[#sets + 1] = { set, score }
    end
  end
  for state in pairs(STATES) do
    if PER_AGENT[state] then
      for _, agent in ipairs(agents) do
        look(set_of(state, agent))
      end
    else
      look(P .. state)
    end
  end
  return sets
end

local function examine(id, report)
  local task = load(id)
  local sets = sets_of(id)
  if not task then
    for _, set in ipairs(sets) do
      report('is in ' .. set[1] .. ' but has no record')
    end
    if redis.call('HEXISTS', P .. 'specs', id) == 1 then
      report('has a spec but no record')
    end
    if redis.call('HEXISTS', P .. 'results', id) == 1 then
      report('has a result but no record')
    end
    if redis.call('HEXISTS', P .. 'progress', id) == 1 then
      report('has progress but no record')
    end
    if redis.call('ZSCORE', P .. 'tasks', id) then
      report('is in the index of tasks but has no record')
    end
    return
  end
  local home = set_of(task.state, task.agent)
  local at_home
  for _, set in ipairs(sets) do
    if set[1] == home then
      at_home = set[2]
    else
      report('is ' .. task.state .. ' but stands in ' .. set[1] .. ' too')
    end
  end
  if not at_home then
    report('is ' .. task.state .. ' but is missing from ' .. home)
  else
    local place
    if task.state == 'pending' or task.state == 'assigned' then
      place = task.rank
    elseif task.state == 'scheduled' then
      place = detail(task).due
    end
    if place and at_home ~= place then
      report('stands in ' .. home .. ' at ' .. at_home .. ', not at ' .. place)
    end
  end
  if redis.call('HEXISTS', P .. 'specs', id) == 0 then
    report('has no spec')
  end
  if not redis.call('ZSCORE', P .. 'tasks', id) then
    report('is missing from the index of tasks')
  end
  local approval = detail(task).approval
  if approval ~= '-' then
    local f = redis.call('HMGET', P .. 'approval:' .. approval, 'status', 'task')
    if not f[1] or f[2] ~= id then
      report('names the approval ' .. approval .. ', which is not its own')
    else
      if not redis.call('ZSCORE', P .. 'approvals:' .. f[1], approval) then
        report('has the approval ' .. approval .. ', which is missing from approvals:' .. f[1])
      end
      if (task.state == 'blocked') ~= (f[1] == 'pending') then
        report('is ' .. task.state .. ' while its approval is ' .. f[1])
      end
      if f[1] ~= 'approved' and task.state ~= 'blocked' and task.state ~= 'cancelled' then
        report('is ' .. task.state .. ' though its approval is ' .. f[1])
      end
    end
  elseif task.state == 'blocked' then
    report('is blocked without an approval')
  end
end

for i = 5, #ARGV do
  examine(ARGV[i], function(what)
    wrong[#wrong + 1], wrong[#wrong + 2] = ARGV[i], what
  end)
end

if #ARGV < 5 then
  -- No ids: what holds for the partition as a whole.
  local sum, counted = 0, 0
  for state in pairs(STATES) do
    if not TERMINAL[state] then
      if PER_AGENT[state] then
        for _, agent in ipairs(agents) do
          sum = sum + redis.call('ZCARD', set_of(state, agent))
        end
      else
        sum = sum + redis.call('ZCARD', P .. state)
      end
    end
  end
  for _, count in ipairs(redis.call('HVALS', P .. 'open')) do
    counted = counted + count
  end
  if sum ~= counted then
    wrong[1], wrong[2] = 'open', 'counts ' .. counted .. ' open tasks where there are ' .. sum
  end
end
return wrong
