// A Go client for tests: the stubs that protoc-gen-go-grpc makes of our .proto files, driven by one JSON command a line on stdin and answering
// with one JSON line each. It ends when stdin closes.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"teranode-p2p/go-grpc/p2papi"
	"teranode-p2p/go-grpc/teranodep2p"
)

// A call of `package.Service/Method`; with Reflection (v1 or v1alpha) by what the server says of itself instead of by the stubs.
type command struct {
	ID         int64           `json:"id"`
	Method     string          `json:"method"`
	Request    json.RawMessage `json:"request"`
	Reflection string          `json:"reflection"`
	TimeoutMs  int64           `json:"timeoutMs"`
}

type answer struct {
	ID       int64           `json:"id"`
	Code     string          `json:"code"`
	Message  string          `json:"message,omitempty"`
	Response json.RawMessage `json:"response,omitempty"`
}

const defaultTimeout = 10 * time.Second

func main() {
	address := flag.String("address", "", "host:port")
	key := flag.String("key", "", "admin key, sent as x-api-key unless empty")
	ca := flag.String("ca", "", "file of the authority; empty: no TLS")
	cert := flag.String("cert", "", "file of the client certificate")
	certKey := flag.String("cert-key", "", "file of its key")
	flag.Parse()
	if err := run(*address, *key, *ca, *cert, *certKey); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, key, ca, cert, certKey string) error {
	transport, err := transportOf(ca, cert, certKey)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	defer conn.Close()
	stubs := map[string]any{
		"p2p_api.PeerService":        p2papi.NewPeerServiceClient(conn),
		"teranode_p2p.PolicyService": teranodep2p.NewPolicyServiceClient(conn),
		"grpc.health.v1.Health":      grpc_health_v1.NewHealthClient(conn),
	}
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		if err := out.Encode(execute(conn, stubs, key, c)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func transportOf(ca, cert, certKey string) (credentials.TransportCredentials, error) {
	if ca == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: pool}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, certKey)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func execute(conn *grpc.ClientConn, stubs map[string]any, key string, c command) answer {
	timeout := defaultTimeout
	if c.TimeoutMs > 0 {
		timeout = time.Duration(c.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-api-key", key)
	}
	var response proto.Message
	var err error
	if c.Reflection == "" {
		response, err = callStub(ctx, stubs, c)
	} else {
		response, err = callReflected(ctx, conn, c)
	}
	if err != nil {
		failed := status.Convert(err)
		return answer{ID: c.ID, Code: failed.Code().String(), Message: failed.Message()}
	}
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(response)
	if err != nil {
		return answer{ID: c.ID, Code: "Unmarshalable", Message: err.Error()}
	}
	return answer{ID: c.ID, Code: "OK", Response: text}
}

func callStub(ctx context.Context, stubs map[string]any, c command) (proto.Message, error) {
	service, method, _ := strings.Cut(c.Method, "/")
	stub, ok := stubs[service]
	if !ok {
		return nil, fmt.Errorf("no stub of %s", service)
	}
	function := reflect.ValueOf(stub).MethodByName(method)
	if !function.IsValid() {
		return nil, fmt.Errorf("no method %s", c.Method)
	}
	request := reflect.New(function.Type().In(1).Elem())
	if err := readRequest(c, request.Interface().(proto.Message)); err != nil {
		return nil, err
	}
	results := function.Call([]reflect.Value{reflect.ValueOf(ctx), request})
	if err, isError := results[1].Interface().(error); isError {
		return nil, err
	}
	return results[0].Interface().(proto.Message), nil
}

func readRequest(c command, into proto.Message) error {
	if len(c.Request) == 0 {
		return nil
	}
	return protojson.Unmarshal(c.Request, into)
}
