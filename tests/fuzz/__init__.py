"""Any bytes under any schema, and a second reader of Avro to compare with: `make fuzz`."""
