"""What a request says, read without a model: `examples.read_request` and `properties.read_properties`.

examples       name, signature, kind and examples of a request; the rest of this folder serves it
properties     what it says of every result
cases          one check each, and Python source read with care
naming, listed_names, kinds, given_code          what is to be defined, and what is there already
quoted_code, stated_calls, tables, input_output  where examples stand
scripts, labelled                                what a script prints for what it reads
relations, plain_calls, matchers, terminal, literals, shown_values, said_of_errors, said_of_results   wordings
"""
