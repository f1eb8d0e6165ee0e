"""The latest quotes and the regular session around them."""
