package workload

import "strings"

// The vocabulary of generated clusters. Its order is part of the meaning of a seed.
var (
	teams        = []string{"payments", "checkout", "search", "identity", "logistics", "analytics", "platform", "media", "growth", "support"}
	environments = []string{"prod", "staging", "dev", "qa"}
	managers     = []string{"Helm", "argocd", "kustomize-controller"}
	apps         = []string{
		"cart", "catalog", "checkout", "payments", "invoices", "shipping", "inventory", "users", "sessions", "search",
		"recommendations", "reviews", "notifications", "mailer", "gateway", "audit", "reports", "pricing", "coupons", "images",
		"postgres", "mysql", "redis", "mongodb", "kafka", "rabbitmq", "elasticsearch", "prometheus", "grafana", "vault",
	}
	components = []string{"api", "worker", "frontend", "database", "cache", "scheduler", "proxy", "migrator", "exporter", "queue"}
	purposes   = []string{
		"kept by the payments team", "called by every shop front", "may be restarted at any time", "holds no data of its own",
		"reads from the event stream", "nightly, after the backups", "behind the public gateway", "critical, page the owner",
		"deprecated, use the second version", "scales with the number of orders",
	}
	foreign = []string{
		"Zahlungsabwicklung für Köln und Zürich ☕", "決済サービスのデータベース", "Кэш корзины покупателя", "Passerelle de paiement – français",
		"خدمة الدفع", "결제 게이트웨이 캐시", "🛒 cart of the second shop 🧾", "naïve façade, Ærøskøbing edition",
	}
)

func capitalised(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
