"""For people who come from elsewhere: other libraries' names for what is here. Re-exports and spellings."""
