"""Commands of the product one after the other: what is made stays, what was stopped goes on."""
