count = 0
for n in range(500000, 0, -1):
    count += len("{} of {:>8}: {:.2f}".format(n, "items", n * 0.5))
print(count)
