"""How consent requests reach people, and how what people signed reaches the chain."""
