local function adder(n) return function(x) return x + n end end

local function loop(n)
  local total = 0
  while n > 0 do
    total = adder(n)(total)
    n = n - 1
  end
  return total
end

print(loop(5000000))
