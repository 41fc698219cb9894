package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenSeconds is how long a service account's token lives: longer than any test.
const tokenSeconds = 24 * 60 * 60

// Address returns host:port of the API server. It stays the same over restarts.
func (c *ControlPlane) Address() string { return c.address }

// RESTConfig returns a new configuration of a client that may do everything, without a limit of requests on the side of
// the client. Built-in types travel as protobuf only if the caller asks for it.
func (c *ControlPlane) RESTConfig() *rest.Config {
	return c.restConfig(c.admin, c.address)
}

// RESTConfigVia is [ControlPlane.RESTConfig] by way of another address on 127.0.0.1, such as a proxy's.
func (c *ControlPlane) RESTConfigVia(address string) *rest.Config {
	return c.restConfig(c.admin, address)
}

// RESTConfigFor returns a new configuration of a client that is this user, a member of these groups.
func (c *ControlPlane) RESTConfigFor(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.ca.client(user, groups...)
	if err != nil {
		return nil, err
	}
	return c.restConfig(credentials{pair: pair}, c.address), nil
}

// credentials identify a client by a certificate or by a token.
type credentials struct {
	pair  keyPair
	token string
}

func (c *ControlPlane) restConfig(who credentials, address string) *rest.Config {
	return &rest.Config{
		Host:        "https://" + address,
		BearerToken: who.token,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   c.ca.pem,
			CertData: who.pair.cert,
			KeyData:  who.pair.key,
		},
		QPS: -1,
	}
}

// Kubeconfig returns the path of a kubeconfig file with every right.
func (c *ControlPlane) Kubeconfig() string { return filepath.Join(c.dir, "admin.kubeconfig") }

// KubeconfigVia writes a kubeconfig file with every right that reaches the API server by way of another address on
// 127.0.0.1, such as a proxy's, and returns its path.
func (c *ControlPlane) KubeconfigVia(address string) (string, error) {
	return c.writeKubeconfig("", c.RESTConfigVia(address))
}

// KubeconfigFor writes a kubeconfig file for this user, a member of these groups, and returns its path. The user has no
// right that RBAC does not give.
func (c *ControlPlane) KubeconfigFor(user string, groups ...string) (string, error) {
	config, err := c.RESTConfigFor(user, groups...)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig("", config)
}

// KubeconfigForVia is [ControlPlane.KubeconfigFor] by way of another address on 127.0.0.1, such as a proxy's. The group
// system:masters has every right.
func (c *ControlPlane) KubeconfigForVia(address, user string, groups ...string) (string, error) {
	config, err := c.RESTConfigFor(user, groups...)
	if err != nil {
		return "", err
	}
	config.Host = "https://" + address
	return c.writeKubeconfig("", config)
}

// ServiceAccountKubeconfig writes a kubeconfig file that acts as a service account, which must exist, and returns its
// path. Its token lives a day and survives restarts of the API server.
func (c *ControlPlane) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	config, err := c.ServiceAccountRESTConfig(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig("", config)
}

// ServiceAccountRESTConfig returns a new configuration of a client that acts as a service account, which must exist.
func (c *ControlPlane) ServiceAccountRESTConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	seconds := int64(tokenSeconds)
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking for a token of service account %s/%s: %w", namespace, name, err)
	}
	return c.restConfig(credentials{token: token.Status.Token}, c.address), nil
}

// writeKubeconfig writes a client's configuration to path, or to a new file if path is empty.
func (c *ControlPlane) writeKubeconfig(path string, config *rest.Config) (string, error) {
	if path == "" {
		path = filepath.Join(c.dir, "client-"+strconv.FormatInt(c.kubeconfigs.Add(1), 10)+".kubeconfig")
	}
	const name = "controlplane"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData,
		ClientKeyData:         config.KeyData,
		Token:                 config.BearerToken,
	}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	content, err := clientcmd.Write(*file)
	if err != nil {
		return "", fmt.Errorf("encoding a kubeconfig file: %w", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", fmt.Errorf("writing a kubeconfig file: %w", err)
	}
	return path, nil
}
