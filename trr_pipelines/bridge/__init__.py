"""The bridge to the owner's application: its rows become photos here, derivatives are published where its readers look.

The only room that knows the application's tables; its SQL is in `queries/`. What the catalogue keeps about them is in
`catalogue.application`. Facts and their use: docs/bridge.md.
"""
