def never(:
