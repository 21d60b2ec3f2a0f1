// heal-reader is a workload that depends on its permissions: it reads a ConfigMap of its own namespace again and again
// with its service account, and is ready (the file /tmp/ready exists) only while the last read worked.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	marker  = "/tmp/ready"
	pause   = 2 * time.Second
)

func read(client *http.Client) error {
	namespace, err := os.ReadFile(account + "namespace")
	if err != nil {
		return err
	}
	token, err := os.ReadFile(account + "token") // read each time: it is rotated
	if err != nil {
		return err
	}
	url := fmt.Sprintf("https://%s/api/v1/namespaces/%s/configmaps/kube-root-ca.crt", os.Getenv("KUBERNETES_SERVICE_HOST"), namespace)
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 512))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d: %s", response.StatusCode, body)
	}
	return nil
}

func main() {
	roots := x509.NewCertPool()
	if pem, err := os.ReadFile(account + "ca.crt"); err == nil {
		roots.AppendCertsFromPEM(pem)
	}
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for ; ; time.Sleep(pause) {
		if err := read(client); err != nil {
			fmt.Println("cannot read my ConfigMap:", err)
			os.Remove(marker)
			continue
		}
		if err := os.WriteFile(marker, []byte("ok"), 0o644); err != nil {
			fmt.Println("cannot write the marker:", err)
		}
	}
}
