local function numbers(n)
  local items = {}
  for i = 1, n do items[i] = i - 1 end
  return items
end

local function map(items, f)
  local result = {}
  for i = 1, #items do result[i] = f(items[i]) end
  return result
end

local function filter(items, f)
  local result = {}
  for i = 1, #items do
    local item = items[i]
    if f(item) then result[#result + 1] = item end
  end
  return result
end

local function reduce(items, f, result)
  for i = 1, #items do result = f(result, items[i]) end
  return result
end

local function run(factor, divisor)
  local tripled = map(numbers(1000000), function(x) return x * factor end)
  local even = filter(tripled, function(x) return x % divisor == 0 end)
  return reduce(even, function(total, x) return total + x end, 0)
end

print(run(3, 2))
