package proxy

import (
	"encoding/binary"
	"net/netip"
)

// proxyHeader is the header of the PROXY protocol, version 2, of a connection from a
// client to an address of the ingress.
func proxyHeader(client, local netip.AddrPort) []byte {
	header := []byte("\r\n\r\n\x00\r\nQUIT\n")
	header = append(header, 2<<4|1) // version 2, on behalf of a client
	from, to := client.Addr().Unmap(), local.Addr().Unmap()
	if from.Is4() && to.Is4() {
		header = append(header, 1<<4|1) // TCP over IPv4
		header = binary.BigEndian.AppendUint16(header, 4+4+2+2)
		header = append(append(header, from.AsSlice()...), to.AsSlice()...)
	} else {
		from16, to16 := from.As16(), to.As16()
		header = append(header, 2<<4|1) // TCP over IPv6
		header = binary.BigEndian.AppendUint16(header, 16+16+2+2)
		header = append(append(header, from16[:]...), to16[:]...)
	}
	header = binary.BigEndian.AppendUint16(header, client.Port())
	return binary.BigEndian.AppendUint16(header, local.Port())
}
