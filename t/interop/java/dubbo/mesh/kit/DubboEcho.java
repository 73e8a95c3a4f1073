package mesh.kit;

import org.apache.dubbo.rpc.RpcContext;

final class DubboEcho extends EchoService {

    DubboEcho(String label) {
        super(label);
    }

    @Override
    public String attachment(String key) {
        String value = RpcContext.getContext().getAttachment(key);
        if (value != null) {
            RpcContext.getServerContext().setAttachment("seen", value);
        }
        return value;
    }
}
