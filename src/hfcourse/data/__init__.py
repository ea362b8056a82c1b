"""People's files and Hub data sets, turned into the columns that a recipe takes."""
