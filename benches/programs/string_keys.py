def main():
    table = {}
    for i in range(500_000):
        table["key" + str(i)] = i * 2
    total = 0
    for i in range(500_000):
        total += table["key" + str(i)]
    return total


print(main())
