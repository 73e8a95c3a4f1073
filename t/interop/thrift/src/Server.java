import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.atomic.AtomicInteger;

import kit.Kit;
import kit.Refused;

import org.apache.thrift.TException;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.server.TThreadedSelectorServer;
import org.apache.thrift.transport.TNonblockingServerSocket;
import org.apache.thrift.transport.layered.TFramedTransport;

/** A server of framed Thrift as the library has it: Server PORT. */
public class Server implements Kit.Iface {
    private final AtomicInteger notes = new AtomicInteger();

    public static void main(String[] args) throws Exception {
        InetSocketAddress address = new InetSocketAddress(
                InetAddress.getLoopbackAddress(), Integer.parseInt(args[0]));

        TThreadedSelectorServer server = new TThreadedSelectorServer(
                new TThreadedSelectorServer.Args(
                        new TNonblockingServerSocket(address))
                        .processor(new Kit.Processor<>(new Server()))
                        .protocolFactory(new TBinaryProtocol.Factory())
                        .transportFactory(new TFramedTransport.Factory())
                        .selectorThreads(2)
                        .workerThreads(16));

        System.out.println("ready");
        server.serve();
    }

    @Override
    public String echo(String text) {
        return text;
    }

    @Override
    public long add(int a, long b) {
        return a + b;
    }

    @Override
    public String slow(String text, int ms) throws TException {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            throw new TException(e);
        }
        return text;
    }

    @Override
    public String refuse(String why) throws Refused {
        throw new Refused(why);
    }

    @Override
    public String fail(String why) {
        throw new IllegalStateException(why);
    }

    @Override
    public void note(String text) {
        notes.incrementAndGet();
    }

    @Override
    public int notes() {
        return notes.get();
    }
}
