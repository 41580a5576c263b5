# Ten events a second, brokers on the internet, alerts in the console only.
project = "my-project"
region  = "europe-west1"
env     = "dev"

# 0 for the first apply; 1 once the first build has rolled out the bridge and the Kafka properties are there.
bridge = { instances = 0 }
