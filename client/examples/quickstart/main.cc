// Counts its own runs in the cluster:  quickstart [HOST:PORT]
#include <gyre/client.h>

#include <iostream>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  auto client = gyre::client::Client::Connect({.seeds = {argc > 1 ? argv[1] : "127.0.0.1:7700"}});
  if (!client) {
    std::cerr << client.error().message << "\n";
    return 1;
  }

  auto counting = client->IncrAsync("quickstart:runs");  // goes on while we do something else
  auto stored = client->Set("greeting", "hello, ring", {.ttl = 60s});
  auto greeting = client->Get("greeting");
  auto runs = counting.Get();
  if (!stored || !greeting || !*greeting || !runs) {
    std::cerr << "the cluster did not answer; is it up?  gyre status\n";
    return 1;
  }
  std::cout << (*greeting)->value << " (run " << *runs << ")\n";

  // Many keys at once: spread over their owners in parallel, one result for each key.
  client->MSet({{"color:sky", "blue"}, {"color:grass", "green"}});
  for (const auto& color : client->MGet({"color:sky", "color:grass", "color:nothing"})) {
    std::cout << (color && *color ? (*color)->value : "(none)") << "\n";
  }
  return 0;
}
