def scrambled(n, x):
    l = []
    for _ in range(n):
        l.append(x)
        x = (x * 1103515245 + 12345) % 2147483648
    return l


l = sorted(scrambled(1000000, 42))
print(l[0] + l[500000] + l[999999])
