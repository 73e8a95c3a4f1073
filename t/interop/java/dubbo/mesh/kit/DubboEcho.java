package mesh.kit;

import java.util.ArrayList;
import java.util.List;

import org.apache.dubbo.rpc.RpcContext;

final class DubboEcho extends EchoService {

    DubboEcho(String label) {
        super(label);
    }

    @Override
    public String attachment(String key) {
        Object value = RpcContext.getContext().getObjectAttachment(key);
        if (value == null) {
            return null;
        }
        /* those of fastjson2 say what they are in JSON */
        String text = value instanceof List
                ? new ArrayList<>((List<?>) value).toString()
                : value.toString();
        RpcContext.getServerContext().setAttachment("seen", text);
        return text;
    }
}
