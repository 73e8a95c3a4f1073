package mesh.kit;

import com.alipay.sofa.rpc.context.RpcInvokeContext;

final class SofaEcho extends EchoService {

    SofaEcho(String label) {
        super(label);
    }

    /** of the baggage; {@link Props} sees to what only filters can see */
    @Override
    public String attachment(String key) {
        RpcInvokeContext context = RpcInvokeContext.getContext();
        String value = context.getRequestBaggage(key);
        if (value != null) {
            context.putResponseBaggage("seen", value);
        }
        return value;
    }
}
