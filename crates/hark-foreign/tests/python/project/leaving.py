raise SystemExit("no module")
